"""Numbers about predictions and features; numpy only, no network."""
