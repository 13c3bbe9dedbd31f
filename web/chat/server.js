// What ACE Chat asks the server for.
import { api } from "../../../scripts/api.js";
import { call, post } from "../shared/server.js";

const ROOT = "/ace/chats";
const path = (...parts) => [ROOT, ...parts.map(encodeURIComponent)].join("/");

const upload = (address, blob) =>
    call(address, { method: "POST", headers: { "Content-Type": blob.type.startsWith("image/") ? blob.type : "image/x" }, body: blob });

export const server = {
    list: async (text) => (await call(`${ROOT}?${new URLSearchParams({ text })}`)).chats,
    choices: () => call(path("choices")),
    create: (settings, title = "") => post(ROOT, { settings, title }),
    read: (chat) => call(path(chat)),
    edit: (chat, changes) => post(path(chat, "edit"), changes),
    remove: (chat) => post(path(chat, "delete")),
    restore: (chat) => post(path(chat, "restore")),
    export: async (chat) => (await post(path(chat, "export"))).folder,
    ask: (chat, ask, parent) => post(path(chat, "turns"), { ask, parent }),
    sheet: (chat, ask, parent, turn) => post(path(chat, "sheet"), { ask, parent, turn }),
    again: (chat, turn) => post(path(chat, "turns", turn, "again")),
    retry: (chat, turn, seed = null) => post(path(chat, "turns", turn, "retry"), { seed }),
    workflow: (chat, turn, branch) => call(`${path(chat, "turns", turn, "workflow")}${branch ? "?branch=1" : ""}`),
    dataset: (chat, turn, name) => post(path(chat, "turns", turn, "dataset"), { name }),
    addPicture: (chat, blob) => upload(path(chat, "pictures"), blob),
    addMask: (chat, file, blob) => upload(path(chat, "pictures", file, "mask"), blob),
    addEdited: (chat, file, blob) => upload(path(chat, "pictures", file, "edited"), blob),
    provide: async (names) => (await post(path("provide"), { names })).copied,
    toInput: async (chat, file) => (await post(path(chat, "pictures", file, "input"))).name,
    suggestions: async (query) => (await call(`${path("suggestions")}?${new URLSearchParams(query)}`)).suggestions,
    rewrite: async (body, signal) => (await post(path("rewrite"), body, { signal })).parts,
};

export const pictureAddress = (chat, file) => api.apiURL(path(chat, "pictures", file));
export const smallAddress = (chat, file) => `${pictureAddress(chat, file)}?small=1`;
