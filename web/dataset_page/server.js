// What the page asks the server for.
import { api } from "../../../scripts/api.js";
import { call, post } from "../shared/server.js";

function path(dataset, ...parts) {
    return ["/ace/datasets", ...[dataset, ...parts].map(encodeURIComponent)].join("/");
}

const seen = (items) => items.map(({ id, version }) => ({ id, version }));

export const server = {
    names: async () => (await call("/ace/datasets")).datasets,
    state: (dataset) => call(path(dataset)),
    list: (dataset, query) => call(`${path(dataset, "list")}?${new URLSearchParams(query)}`),
    pair: (dataset, item) => call(path(dataset, ...place(item))),
    edit: (dataset, items, changes) => post(path(dataset, "edit"), { pairs: seen(items), changes }),
    label: (dataset, item, action, words) =>
        post(path(dataset, "label"), { pair: seen([item])[0], action, ...(words ? { words } : {}) }),
    remove: async (dataset, items) => (await post(path(dataset, "delete"), { pairs: seen(items) })).keys,
    comparison: (dataset) => call(path(dataset, "comparison")),
    choose: (dataset, first, second, better) => post(path(dataset, "comparison"), { first, second, better }),
    restore: async (dataset, keys) => (await post(path(dataset, "restore"), { keys })).ids,
};

// By which an item of a list is known, whatever becomes of its place.
export function itemKey(item) {
    return item.key ?? item.id ?? `#${item.number}`;
}

function place(item) {
    return item.key === undefined ? ["pairs", item.id] : ["deleted", item.key];
}

export function thumbnailAddress(dataset, item) {
    const parts = item.number === undefined ? place(item) : ["rejected", item.number];
    // A list of rejected pairs may begin anew, so theirs are named by what they are, too.
    const version = item.version ?? item.key ?? item.created + item.name;
    return api.apiURL(`${path(dataset, ...parts, "thumbnail")}?v=${encodeURIComponent(version.slice(-40))}`);
}

export function pictureAddress(dataset, item, picture) {
    const version = item.version ?? item.key;
    return api.apiURL(`${path(dataset, ...place(item), "pictures", picture)}?v=${version.slice(0, 40)}`);
}
