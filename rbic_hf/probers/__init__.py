"""Engines that answer questions, all behind `rbic_hf.protocols.Prober`.

local         a transformers model in this process; runs everywhere
vllm_process  a vLLM engine in a process of its own, which may have a Python of its own
server        any OpenAI-compatible endpoint, one or several
columns       no engine: outcomes that the dataset already has
"""
