// A workflow that is opened, be it out of an answer's own file, finds the pictures of its conversation.
import { refreshMenus } from "../shared/page.js";
import { server } from "./server.js";

const NAME = /^ace-chat-[0-9a-f]{32}\.png$/;

// What the menu of Load Image lists now.
function listed() {
    const [kinds, options] = LiteGraph.registered_node_types.LoadImage?.nodeData?.input?.required?.image ?? [];
    return new Set(Array.isArray(kinds) ? kinds : (options?.options ?? []));
}

// workflow: the file, before its nodes are made: a Load Image is red whose menu does not list its picture by then.
export async function providePictures(workflow) {
    const inner = (workflow?.definitions?.subgraphs ?? []).flatMap(({ nodes }) => nodes ?? []);
    const named = [...(workflow?.nodes ?? []), ...inner].flatMap(({ type, widgets_values: values }) =>
        type === "LoadImage" && NAME.test(values?.[0]) ? [values[0]] : [],
    );
    if (!named.length) return;
    const copied = await server.provide([...new Set(named)]);
    const known = listed();
    if (copied.length || named.some((name) => !known.has(name))) await refreshMenus();
}
