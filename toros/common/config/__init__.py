"""The configuration: one YAML file for every module of a node."""
