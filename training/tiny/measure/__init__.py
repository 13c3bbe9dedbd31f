"""How good ace-tiny is: edits on held-out pictures against what the VAE allows, scenes read off by a program."""
