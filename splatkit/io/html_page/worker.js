// Runs beside the page: unpacks the scene, then sorts it whenever the camera has moved.
// The encoding is described at the top of splatkit/io/html.py.

const NEAR = 0.01;
const BLOCK = 256;

let count = 0;
let places; // Float32Array [3 count]: x of all, y of all, z of all
let depths, indices, keys; // of the sort, made once

onmessage = async ({ data }) => {
  try {
    if (data.open) await open(data.open);
    else sort(data.axis, data.spare);
  } catch (error) {
    postMessage({ error: String(error.message || error) });
  }
};

/** Unpack the streams into what the graphics card takes, and hand over each part when it is ready. */
async function open({ scene, streams, width }) {
  count = scene.count;
  const cells = width * Math.max(1, Math.ceil(count / width));
  const coefficients = (scene.degree + 1) ** 2 - 1;
  const opacities = await unpack(streams.opacities, count);
  const steps = new Float32Array((await unpack(streams.steps, 4 * Math.ceil(count / BLOCK))).buffer);
  unpackPlaces(await unpack(streams.centers, 12 * count), scene.step);

  const centers = new Uint32Array(4 * cells);
  const floats = new Float32Array(centers.buffer);
  for (let i = 0; i < count; ++i) {
    for (let axis = 0; axis < 3; ++axis) floats[4 * i + axis] = places[axis * count + i];
    const step = Math.min(65535, Math.round(steps[i >> 8] * 65535));
    centers[4 * i + 3] = (opacities[i] * 257) | (step << 16);
  }
  hand("centers", centers);

  // [rotation, scales xy, scale z and red, green and blue]; two numbers of 16 bits to a word.
  const scales = await unpack(streams.scales, 6 * count);
  const colors = await unpack(streams.colors, 6 * count);
  const rotations = await unpack(streams.rotations, 4 * count);
  const shapes = new Uint32Array(4 * cells);
  const word = (planes, column, i) => planes[2 * column * count + i] | (planes[(2 * column + 1) * count + i] << 8);
  for (let i = 0; i < count; ++i) {
    shapes[4 * i] = rotations[i] | (rotations[count + i] << 8) | (rotations[2 * count + i] << 16) | (rotations[3 * count + i] << 24);
    shapes[4 * i + 1] = word(scales, 0, i) | (word(scales, 1, i) << 16);
    shapes[4 * i + 2] = word(scales, 2, i) | (word(colors, 0, i) << 16);
    shapes[4 * i + 3] = word(colors, 1, i) | (word(colors, 2, i) << 16);
  }
  hand("shapes", shapes);

  const harmonics = new Int8Array((await unpack(streams.harmonics, 3 * coefficients * count)).buffer);
  for (let k = 0; k < coefficients; ++k) {
    const layer = new Int8Array(4 * cells);
    for (let channel = 0; channel < 3; ++channel) {
      const plane = harmonics.subarray((3 * k + channel) * count, (3 * k + channel + 1) * count);
      for (let i = 0; i < count; ++i) layer[4 * i + channel] = plane[i];
    }
    hand("harmonics", layer, k);
  }
  depths = new Float32Array(count);
  keys = new Uint32Array(count);
  indices = new Uint32Array(count);
  postMessage({ ready: true });
}

function hand(part, array, layer = 0) {
  postMessage({ part, array, layer }, [array.buffer]);
}

/** The bytes behind base64 and gzip; there must be as many as said. */
async function unpack(text, size) {
  const packed = atob(text);
  const bytes = new Uint8Array(packed.length);
  for (let i = 0; i < bytes.length; ++i) bytes[i] = packed.charCodeAt(i);
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  const data = new Uint8Array(await new Response(stream).arrayBuffer());
  if (data.length !== size) throw new Error(`the file is damaged: expected ${size} bytes, got ${data.length}`);
  return data;
}

/** Undo byte planes, zigzag and differences. */
function unpackPlaces(planes, step) {
  places = new Float32Array(3 * count);
  for (let axis = 0; axis < 3; ++axis) {
    const start = 4 * axis * count;
    let place = 0;
    for (let i = start; i < start + count; ++i) {
      const zigzag = planes[i] | (planes[i + count] << 8) | (planes[i + 2 * count] << 16) | (planes[i + 3 * count] << 24);
      place = (place + ((zigzag >>> 1) ^ -(zigzag & 1))) | 0;
      places[axis * count + i - start] = place * step;
    }
  }
}

/**
 * Order what lies before the camera from far to near, of equals the later one first. Depth is
 * the camera's z, exact to its last bit: positive floats sort like the integers of their bits,
 * in two passes of 16 bits each.
 */
function sort([ax, ay, az, shift], spare) {
  const order = spare && spare.length === count ? spare : new Uint32Array(count);
  const bits = new Uint32Array(depths.buffer);
  const low = new Uint32Array(65537);
  const high = new Uint32Array(65537);
  let visible = 0;
  for (let i = 0; i < count; ++i) {
    const depth = ax * places[i] + ay * places[count + i] + az * places[2 * count + i] + shift;
    if (!(depth > NEAR)) continue;
    depths[visible] = depth;
    order[visible] = i;
    const key = bits[visible++];
    ++low[(key & 65535) + 1];
    ++high[(key >>> 16) + 1];
  }
  for (let i = 1; i <= 65536; ++i) {
    low[i] += low[i - 1];
    high[i] += high[i - 1];
  }
  for (let i = 0; i < visible; ++i) {
    const place = low[bits[i] & 65535]++;
    keys[place] = bits[i];
    indices[place] = order[i];
  }
  for (let i = 0; i < visible; ++i) order[visible - 1 - high[keys[i] >>> 16]++] = indices[i];
  postMessage({ order, visible }, [order.buffer]);
}
