"""All that touches the world: processes, files, git, HTTP, engines, clocks, the terminal."""
