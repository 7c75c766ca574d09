"""Gathers the guard's evidence: from the rows that differ and SQL aggregates, never from all rows at once."""

from app.stores.guard.batch import Batch, Judge, JudgedRow, Zeros
from app.stores.guard.doubtful import doubtful_counts, doubtful_products
from app.stores.guard.others import CountJudge
from app.stores.guard.products import ProductJudge
from app.stores.guard.stock import StockJudge
