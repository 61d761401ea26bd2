"""The command line: parses, calls the API, reports. Results to stdout, everything else to stderr."""
