"""What happens, one module per verb: decides, then has the ports do it."""
