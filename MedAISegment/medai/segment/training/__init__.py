"""Training a segmentation network on pairs of images and label maps."""
