"""What the terminal shows: `tables`, `load_tables` at a run's end, `live` while it goes on."""
