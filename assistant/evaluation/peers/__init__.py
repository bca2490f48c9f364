"""Peers: what a user would pick instead, on the same recordings and the same commands.

Whisper writes what it hears, and the nearest sentence of the grammar is taken (`nearest`);
PocketSphinx hears the grammar itself, as JSGF (`jsgf`). Each needs the extra `peers`.
"""
