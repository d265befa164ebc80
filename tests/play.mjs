// Runs an exported network on images, for tests/test_play.py: node play.mjs FILES AT LABEL
import { readFileSync, writeFileSync } from "node:fs";
import { gradient, network, run, tensor } from "../site/play/engine.mjs";

const [files, at, label] = process.argv.slice(2), file = kind => `${files}.${kind}`;
const net = network(JSON.parse(readFileSync(file("json"), "utf8")), readFileSync(file("bin")));
const images = new Float32Array(new Uint8Array(readFileSync(file("images"))).buffer);
const size = net.shape.reduce((a, b) => a * b), count = images.length / size, began = process.cpuUsage().user;
const out = Array.from({ length: count }, (_, n) =>
  [...run(net, tensor([1, ...net.shape], images.slice(n * size, (n + 1) * size))).logits.data]);
const ms = (process.cpuUsage().user - began) / 1000 / count, batch = tensor([count, ...net.shape], images);
const train = [...run(net, batch, { train: true }).logits.data];
const back = [...gradient(net, run(net, batch), Number(label), net.at(at)).data];
const mask = Array.from({ length: net.steps[net.at(at)].out }, (_, c) => c % 3);
const masked = [...run(net, batch, { masks: { [at]: mask } }).logits.data];
writeFileSync(file("answers"), JSON.stringify({ out, train, back, masked, ms }));
