"""The configuration: one YAML file for every module of a node."""

from toros.common.config.loader import config_path, load_config, parse_config
from toros.common.config.models import Config, Device, Service

__all__ = ["Config", "Device", "Service", "config_path", "load_config", "parse_config"]
