"""Instances in 2D images and in the slices of volumes: torchvision's Mask R-CNN, trained from scratch."""
