// Turns in ComfyUI's queue: put there, followed, stopped. One set of listeners for the life of the page.
import { api } from "../../../scripts/api.js";
import { fetchJson } from "../shared/page.js";
import { ServerError } from "../shared/server.js";

const JSON_HEADERS = { "Content-Type": "application/json" };

const CALM = 200; // ms, so that of many changes of the queue at once one is told

export class Runs {
    // changed(promptId): something about a prompt of ours is new. ended(promptId, message): it is over. told(chat): the server
    // says that a conversation has changed. moved(): the queue is another. back(): the server is there again.
    constructor({ changed, ended, told, moved, back }) {
        this.runs = new Map(); // by prompt: {state, queued, value, max, blob, preview, shown}
        this.over = new Set(); // prompts that were heard to end: what the server said before that is old
        this.news = new Set(); // prompts with steps and previews that are shown with the next frame
        this.current = null; // the prompt that runs, whoever's it is
        this.changed = changed;
        this.moved = moved;
        const listen = (name, work) => api.addEventListener(name, ({ detail }) => work(detail));
        listen("execution_start", ({ prompt_id }) => {
            this.current = prompt_id;
            this.update(prompt_id, { state: "running" });
        });
        listen("progress", ({ prompt_id, value, max }) => {
            this.current = prompt_id ?? this.current; // a page that is opened in the middle of a run has not heard it start
            this.step(this.current, { value, max });
        });
        listen("b_preview_with_metadata", ({ blob, promptId }) => this.preview(promptId ?? this.current, blob));
        listen("b_preview", (blob) => this.preview(this.current, blob));
        for (const name of ["execution_success", "execution_error", "execution_interrupted"]) {
            listen(name, ({ prompt_id, exception_message: message }) => {
                const run = this.runs.get(prompt_id);
                this.over.add(prompt_id);
                if (!run) return;
                this.forget(prompt_id);
                if (!run.shown) ended(prompt_id, message);
                else if (name !== "execution_success") run.shown.failed(message?.trim());
            });
        }
        listen("executed", ({ prompt_id, output }) => {
            if (output?.images?.length) this.runs.get(prompt_id)?.shown?.picture(output.images[0]);
        });
        listen("ace.chat", ({ chat }) => told(chat));
        // Of a turn that another window began, or that was taken out of the queue, the queue alone tells, and to everybody.
        listen("status", (status) => status && this.queueMoved());
        api.addEventListener("reconnected", () => {
            back();
            this.checkShown().catch(() => {});
        });
    }

    queueMoved() {
        this.timer ??= setTimeout(() => {
            this.timer = null;
            this.moved();
            this.checkShown().catch(() => {}); // the next change asks again
        }, CALM);
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

    // Of steps that come faster than the screen is drawn, the last one is shown: else the page would lag behind its run.
    step(promptId, news) {
        const run = this.runs.get(promptId);
        if (!run) return;
        Object.assign(run, news);
        if (!this.news.size) requestAnimationFrame(() => this.showNews());
        this.news.add(promptId);
    }

    showNews() {
        const prompts = [...this.news];
        this.news.clear();
        for (const promptId of prompts) {
            const run = this.runs.get(promptId);
            if (run?.blob) {
                if (run.preview) URL.revokeObjectURL(run.preview);
                Object.assign(run, { preview: URL.createObjectURL(run.blob), blob: null });
            }
            if (run) this.changed(promptId);
        }
    }

    preview(promptId, blob) {
        if (blob instanceof Blob) this.step(promptId, { blob });
    }

    forget(promptId) {
        const run = this.runs.get(promptId);
        if (run?.preview) URL.revokeObjectURL(run.preview);
        this.runs.delete(promptId);
    }

    // The prompts of which the server has said that they are in its queue.
    get queued() {
        return new Set([...this.runs].filter(([, run]) => run.queued).map(([promptId]) => promptId));
    }

    // What the server says of turns. known: what was in the queue by then.
    settle(turns, known) {
        for (const { answer, state, prompt } of turns) {
            if (!answer && (state === "waiting" || state === "running")) this.follow(prompt, state);
            // A prompt that is gone may also be one that has not come to the queue yet.
            else if (state !== "gone" || known.has(prompt)) this.forget(prompt);
        }
    }

    // A prompt that this window did not begin, or began before it was loaded anew.
    follow(promptId, state) {
        if (this.over.has(promptId)) return;
        const run = this.runs.get(promptId);
        if (!run) this.runs.set(promptId, { state, queued: true });
        else if (state === "running") run.state = state;
    }

    // A prompt that shows a picture is no turn, so the server notes nothing of it: the queue is asked what became of it.
    async checkShown() {
        const open = [...this.runs].filter(([, run]) => run.queued && run.shown);
        if (!open.length) return;
        const { queue_running: running, queue_pending: waiting } = await fetchJson("/queue");
        const busy = new Set([...running, ...waiting].map(([, promptId]) => promptId));
        for (const [promptId, { shown }] of open.filter(([promptId]) => !busy.has(promptId))) {
            const outputs = (await fetchJson(`/history/${promptId}`))?.[promptId]?.outputs ?? {};
            if (!this.runs.has(promptId)) continue; // it was told meanwhile
            this.forget(promptId);
            const [picture] = Object.values(outputs).flatMap(({ images }) => images ?? []);
            if (picture) shown.picture(picture);
            else shown.failed();
        }
    }

    // Puts a prompt into the queue under the id that the server has noted, so that whoever looks later finds it.
    // shown: for a prompt that is no turn: picture(file) that one of its nodes shows, or failed(message).
    async start({ prompt, prompt_id: promptId, workflow }, shown = null) {
        const run = { state: "waiting", queued: false, shown };
        this.runs.set(promptId, run);
        const body = {
            client_id: api.clientId ?? api.initialClientId,
            prompt,
            prompt_id: promptId,
            extra_data: { preview_method: "auto", ...(workflow ? { extra_pnginfo: { workflow } } : {}) },
        };
        try {
            const reply = await send("/prompt", body);
            run.queued = reply.ok;
            // What befell the queue before this answer was not heard as about this prompt: nobody knew it to be there.
            if (reply.ok) return this.queueMoved();
            throw new ServerError(refusal(await reply.json().catch(() => ({}))), "refused");
        } catch (error) {
            this.forget(promptId);
            throw error;
        }
    }

    // Only what is ours is ended: a prompt that waits is taken out of the queue, one that runs is interrupted.
    async stop(promptId) {
        await send("/queue", { delete: [promptId] });
        await send("/interrupt", { prompt_id: promptId });
    }
}

async function send(route, body) {
    try {
        return await api.fetchApi(route, { method: "POST", headers: JSON_HEADERS, body: JSON.stringify(body) });
    } catch (error) {
        throw new ServerError(error.message, "away");
    }
}

// Why ComfyUI does not take a prompt, in its own words.
function refusal({ error, node_errors: nodes }) {
    const details = Object.values(nodes ?? {}).flatMap((node) => node.errors ?? []);
    const lines = details.map(({ message, details: more }) => [message, more].filter(Boolean).join(": "));
    return [...new Set(lines)].join("\n") || error?.message || String(error ?? "?");
}
