"""What the terminal shows: `tables` when a run ends, `live` while it goes on."""
