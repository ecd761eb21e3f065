from flowkit.cli import entry

entry()
