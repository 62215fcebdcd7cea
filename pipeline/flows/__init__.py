"""What happens, one module per verb. Flows decide on models and ports; drivers are given to them."""
