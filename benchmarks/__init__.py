"""Benchmarks of gort beside Go, asyncio, greenlet and threads, interleaved in one run: ``python -m benchmarks``."""
