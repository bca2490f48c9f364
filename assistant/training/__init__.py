"""From recordings to bundles: manifests, augmentation, caches, loops. Never needed to run."""
