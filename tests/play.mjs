// Runs an exported network on images, for tests/test_play.py: node play.mjs FOLDER NAME [AT LABEL]
import { readFileSync, writeFileSync } from "node:fs";
import { gradient, network, run, tensor } from "../site/play/engine.mjs";

const [folder, name, at, label] = process.argv.slice(2), file = kind => `${folder}/${name}.${kind}`;
const net = network(JSON.parse(readFileSync(file("json"), "utf8")), readFileSync(file("bin")));
const bytes = readFileSync(file("images")), [channels, height, width] = net.shape;
const images = new Float32Array(new Uint8Array(bytes).buffer), size = channels * height * width;
const out = [], train = [], began = process.cpuUsage().user;
for (let n = 0; n < images.length / size; n++)
  out.push(...run(net, tensor([1, channels, height, width], images.slice(n * size, (n + 1) * size))).logits.data);
const ms = (process.cpuUsage().user - began) / 1000 / (images.length / size);
const batch = tensor([Math.min(8, images.length / size), channels, height, width], images.slice(0, 8 * size));
train.push(...run(net, batch, { train: true }).logits.data);
const back = at ? [...gradient(net, run(net, batch), Number(label), net.at(at)).data] : [];
writeFileSync(file("answers"), JSON.stringify({ out, train, back, ms }));
