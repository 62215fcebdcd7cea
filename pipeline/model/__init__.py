"""What things are: frozen values and pure functions. Nothing here touches the world."""
