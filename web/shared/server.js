// What pages ask ComfyUI's server for.
import { api } from "../../../scripts/api.js";

export class ServerError extends Error {
    constructor(message, code) {
        super(message);
        this.code = code;
    }
}

// The JSON that a route of ours answers.
export async function call(address, options) {
    let reply;
    try {
        reply = await api.fetchApi(address, options);
    } catch (error) {
        throw new ServerError(error.message, "away");
    }
    const answer = await reply.json().catch(() => null);
    if (!reply.ok || !answer) throw new ServerError(answer?.error ?? `${reply.status}`, answer?.code ?? "status");
    return answer;
}

// options: more for fetch.
export function post(address, body = {}, options = {}) {
    return call(address, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body), ...options });
}
