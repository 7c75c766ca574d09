"""A local index of what listings are called, in a file of its own that can be made again at any time."""

from app.stores.search.entries import Entry
from app.stores.search.file import Lost
from app.stores.search.index import SearchIndex
