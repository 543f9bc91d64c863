"""Inference: frames in, RF-DETR's detections out."""
