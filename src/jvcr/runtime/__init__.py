"""Ways to run the network: crops → volume and points. Each backend is one module, imported when asked for."""
