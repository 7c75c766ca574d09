"""Who we tell: workers by the queue; people by pages, mail and chat."""
