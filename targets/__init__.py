"""Facts about devices, one TOML file each; installed as edgedistill.profiles."""
