"""The subcommands of ``comfyui-ace``: each module adds its parsers and the functions behind them."""
