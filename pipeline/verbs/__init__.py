"""What each task does with a Session: gathers the inputs, calls the flow, saves, tells. One module per verb."""
