// Turns in ComfyUI's queue: put there, followed, stopped. One set of listeners for the life of the page.
import { api } from "../../../scripts/api.js";
import { ServerError } from "../shared/server.js";

const JSON_HEADERS = { "Content-Type": "application/json" };

export class Runs {
    // changed(promptId): something about a prompt of ours is new. ended(promptId): it is over. told(chat): the server says that
    // a conversation has changed. back(): the server is there again.
    constructor({ changed, ended, told, back }) {
        this.runs = new Map(); // by prompt: {state, value, max, preview, message}
        this.current = null; // the prompt that runs, whoever's it is
        this.changed = changed;
        const listen = (name, work) => api.addEventListener(name, ({ detail }) => work(detail));
        listen("execution_start", ({ prompt_id }) => {
            this.current = prompt_id;
            this.update(prompt_id, { state: "running" });
        });
        listen("progress", ({ prompt_id, value, max }) => this.update(prompt_id ?? this.current, { value, max }));
        listen("b_preview_with_metadata", ({ blob, promptId }) => this.preview(promptId ?? this.current, blob));
        listen("b_preview", (blob) => this.preview(this.current, blob));
        for (const name of ["execution_success", "execution_error", "execution_interrupted"]) {
            listen(name, ({ prompt_id, exception_message: message }) => {
                if (!this.runs.has(prompt_id)) return;
                this.forget(prompt_id);
                ended(prompt_id, message);
            });
        }
        listen("executed", ({ prompt_id, output }) => {
            if (this.runs.has(prompt_id) && output?.images?.length) this.runs.get(prompt_id).shown?.(output.images[0]);
        });
        listen("ace.chat", ({ chat }) => told(chat));
        api.addEventListener("reconnected", () => back());
    }

    get(promptId) {
        return this.runs.get(promptId);
    }

    update(promptId, news) {
        const run = this.runs.get(promptId);
        if (!run) return;
        Object.assign(run, news);
        this.changed(promptId);
    }

    preview(promptId, blob) {
        const run = this.runs.get(promptId);
        if (!run || !(blob instanceof Blob)) return;
        if (run.preview) URL.revokeObjectURL(run.preview);
        this.update(promptId, { preview: URL.createObjectURL(blob) });
    }

    forget(promptId) {
        const run = this.runs.get(promptId);
        if (run?.preview) URL.revokeObjectURL(run.preview);
        this.runs.delete(promptId);
    }

    // Puts a prompt into the queue under the id that the server has noted, so that whoever looks later finds it.
    // shown: called with the file of a picture that one of its nodes shows.
    async start({ prompt, prompt_id: promptId, workflow }, shown = null) {
        this.runs.set(promptId, { state: "waiting", shown });
        const body = {
            client_id: api.clientId ?? api.initialClientId,
            prompt,
            prompt_id: promptId,
            extra_data: { preview_method: "auto", ...(workflow ? { extra_pnginfo: { workflow } } : {}) },
        };
        try {
            const reply = await api.fetchApi("/prompt", { method: "POST", headers: JSON_HEADERS, body: JSON.stringify(body) });
            if (reply.ok) return;
            throw new ServerError(refusal(await reply.json().catch(() => ({}))), "refused");
        } catch (error) {
            this.forget(promptId);
            throw error;
        }
    }

    // Only what is ours is ended: a prompt that waits is taken out of the queue, one that runs is interrupted.
    async stop(promptId) {
        const send = (route, body) => api.fetchApi(route, { method: "POST", headers: JSON_HEADERS, body: JSON.stringify(body) });
        await send("/queue", { delete: [promptId] });
        await send("/interrupt", { prompt_id: promptId });
    }
}

// Why ComfyUI does not take a prompt, in its own words.
function refusal({ error, node_errors: nodes }) {
    const details = Object.values(nodes ?? {}).flatMap((node) => node.errors ?? []);
    const lines = details.map(({ message, details: more }) => [message, more].filter(Boolean).join(": "));
    return [...new Set(lines)].join("\n") || error?.message || String(error ?? "?");
}
