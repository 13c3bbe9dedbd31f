"""Vision-language models that answer questions about pictures, wherever they run; for judging pairs and for naming edits.

request          `Request`: words, labelled pictures, the JSON that is wanted
answer           `Answer`: what came back, and the JSON in it
backend          `Backend`: what all of them can do
servers          an address and a model -> a backend; nothing but that address is ever contacted
chat             what servers with a chat interface have in common (private to the room)
openai           /v1/chat/completions: LM Studio, llama.cpp, vLLM, Ollama, hosted ones
ollama           /api/chat, where the length of the context can be set
recorded         answers kept by what was asked: for going on after a stop, and for tests
command          options, progress and messages of commands that ask one
probe            proves with two swatches that both pictures arrive, and in order
asking           about many things, several at once
fine_tuning      questions and right answers as a set to fine-tune a model on
errors           why there is no answer
http             one request, no redirection, no proxy (private to the room)
response_format  from strict JSON to plain words, remembered by server and model (private to the room)
"""

__all__ = [
    "answer",
    "asking",
    "backend",
    "command",
    "errors",
    "fine_tuning",
    "ollama",
    "openai",
    "probe",
    "recorded",
    "request",
    "response_format",
    "servers",
]
