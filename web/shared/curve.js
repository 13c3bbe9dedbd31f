// A loss curve as an SVG that takes the width it is given.
const WIDTH = 300;
const HEIGHT = 76;
const TOP = 14; // of the drawing, below its words
export const COLOURS = { training: "#6aa9ff", heldOut: "#ffb454" };
const SVG = "http://www.w3.org/2000/svg";

function draw(tag, attributes, text = "") {
    const made = document.createElementNS(SVG, tag);
    for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
    made.textContent = text;
    return made;
}

// Losses are spread over orders of magnitude, so their logarithm is drawn; that of 0 would be far below all others.
function scale(points, steps) {
    const heights = points.map(([, loss]) => Math.log(Math.max(loss, 1e-9)));
    const [low, high] = [Math.min(...heights), Math.max(...heights)];
    const x = (step) => (step / Math.max(1, steps)) * WIDTH;
    const y = (loss) => HEIGHT - 3 - ((Math.log(Math.max(loss, 1e-9)) - low) / (high - low || 1)) * (HEIGHT - TOP - 6);
    return ([step, loss]) => [x(step).toFixed(1), y(loss).toFixed(1)];
}

// Draws the curve of {training, held_out}, lists of [step, loss], over so many steps; null if there is nothing to draw.
export function curveImage(curve, steps, words) {
    const points = [...curve.training, ...curve.held_out];
    if (!curve.training.length) return null;
    const place = scale(points, steps || Math.max(...points.map(([step]) => step)));
    const made = draw("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, width: "100%", height: HEIGHT, role: "img" });
    made.style.display = "block"; // else a line's gap would be below it
    made.setAttribute("preserveAspectRatio", "none");
    made.append(draw("rect", { width: WIDTH, height: HEIGHT, fill: "#0003" }));
    const line = { fill: "none", "vector-effect": "non-scaling-stroke", "stroke-width": 1.5 };
    const add = (list, colour) =>
        made.append(draw("polyline", { ...line, stroke: colour, points: list.map((p) => place(p).join(",")).join(" ") }));
    add(curve.training, COLOURS.training);
    if (curve.held_out.length) add(curve.held_out, COLOURS.heldOut);
    made.setAttribute("aria-label", words);
    return made;
}
