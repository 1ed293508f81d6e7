"""Lessons: percent scripts `NN_topic.py` are the source, the executed `NN_topic.ipynb` lie beside them."""
