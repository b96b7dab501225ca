"""The CNI executable: one source file that carries a request to ipamd and prints the answer.

`terway.py` is what is shipped, twice (tools/build_cni.sh). `install.py` puts it on a node.
"""
