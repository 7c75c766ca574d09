"""What customers wanted: histories of sales, read for a forecast or for its backtest."""
