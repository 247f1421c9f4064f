"""Plots as SVG: a pen, axes, and the shapes that reports and the console share."""
