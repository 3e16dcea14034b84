import { COVER, SHOW, SPLAT_FRAGMENT, SPLAT_VERTEX, projectShader } from "./shaders.js";
import { axesOf } from "./math.js";

const ROW_SHIFT = 11;
export const ROW = 1 << ROW_SHIFT; // Gaussians in a row of the textures: every card allows as many
const FRUSTUM_MARGIN = 0.3;

/** A fault that the visitor can do something about. */
export class Unable extends Error {}

/**
 * Draws Gaussians. Each frame, one pass makes an ellipse of every Gaussian (a texel each), and
 * another blends them from far to near, in half floats so that faint ones add up.
 */
export class Renderer {
  constructor(canvas, { count, degree, antialiased }) {
    const gl = canvas.getContext("webgl2", {
      alpha: false,
      antialias: false,
      depth: false,
      powerPreference: "high-performance",
    });
    if (!gl) throw new Unable("This page draws with WebGL 2, which is switched off or missing here.");
    this.gl = gl;
    this.canvas = canvas;
    this.rows = Math.max(1, Math.ceil(count / ROW));
    if (this.rows > gl.getParameter(gl.MAX_TEXTURE_SIZE)) {
      throw new Unable(`This scene has ${count.toLocaleString()} splats: more than this graphics card takes.`);
    }
    this.visible = 0;
    this.half = Boolean(gl.getExtension("EXT_color_buffer_float") || gl.getExtension("EXT_color_buffer_half_float"));

    this.project = program(gl, COVER, projectShader(degree, antialiased));
    this.splat = program(gl, SPLAT_VERTEX, SPLAT_FRAGMENT);
    this.show = program(gl, COVER, SHOW);

    this.centers = texture(gl, gl.TEXTURE_2D, gl.RGBA32UI, ROW, this.rows);
    this.shapes = texture(gl, gl.TEXTURE_2D, gl.RGBA32UI, ROW, this.rows);
    const layers = Math.max(1, (degree + 1) ** 2 - 1);
    this.harmonics = texture(gl, gl.TEXTURE_2D_ARRAY, gl.RGBA8I, ROW, this.rows, layers);
    this.places = texture(gl, gl.TEXTURE_2D, gl.RGBA32UI, ROW, this.rows);
    this.looks = texture(gl, gl.TEXTURE_2D, gl.RGBA32UI, ROW, this.rows);
    this.ellipses = framebuffer(gl, this.places, this.looks);
    this.picture = null;

    this.empty = gl.createVertexArray();
    this.instances = gl.createVertexArray();
    this.order = gl.createBuffer();
    gl.bindVertexArray(this.instances);
    gl.bindBuffer(gl.ARRAY_BUFFER, this.order);
    gl.enableVertexAttribArray(0);
    gl.vertexAttribIPointer(0, 1, gl.UNSIGNED_INT, 0, 0);
    gl.vertexAttribDivisor(0, 1);
  }

  /** Take one of the arrays that the worker has unpacked. */
  load(part, array, layer) {
    const gl = this.gl;
    if (part === "harmonics") {
      gl.bindTexture(gl.TEXTURE_2D_ARRAY, this.harmonics);
      gl.texSubImage3D(gl.TEXTURE_2D_ARRAY, 0, 0, 0, layer, ROW, this.rows, 1, gl.RGBA_INTEGER, gl.BYTE, array);
    } else {
      gl.bindTexture(gl.TEXTURE_2D, this[part]);
      gl.texSubImage2D(gl.TEXTURE_2D, 0, 0, 0, ROW, this.rows, gl.RGBA_INTEGER, gl.UNSIGNED_INT, array);
    }
  }

  /** Take the order to draw in, from far to near. */
  setOrder(order, visible) {
    const gl = this.gl;
    gl.bindBuffer(gl.ARRAY_BUFFER, this.order);
    gl.bufferData(gl.ARRAY_BUFFER, order.subarray(0, visible), gl.DYNAMIC_DRAW);
    this.visible = visible;
  }

  /**
   * Draw onto the canvas.
   *   camera      position and rotation of a Camera
   *   lens        [fx, fy, cx, cy] for the whole canvas, pixels
   *   background  [red, green, blue], 0 to 1
   *   scale       1, or less to draw fewer pixels and enlarge them
   */
  draw(camera, lens, background, scale) {
    const gl = this.gl;
    const { width, height } = this.canvas;
    const size = [Math.max(1, Math.round(width * scale)), Math.max(1, Math.round(height * scale))];
    const shrink = [size[0] / width, size[1] / height];
    this.fitPicture(width, height);
    gl.disable(gl.BLEND);
    gl.bindVertexArray(this.empty);

    this.projectAll(camera, lens.map((value, i) => value * shrink[i % 2]), size);
    this.blend(background, size);

    gl.bindFramebuffer(gl.FRAMEBUFFER, null);
    gl.viewport(0, 0, width, height);
    gl.disable(gl.BLEND);
    gl.bindVertexArray(this.empty);
    gl.useProgram(this.show.program);
    this.bind(0, gl.TEXTURE_2D, this.picture.texture);
    gl.uniform1i(this.show.at.picture, 0);
    gl.uniform2fv(this.show.at.drawn, size);
    gl.uniform2f(this.show.at.window, width, height);
    gl.drawArrays(gl.TRIANGLES, 0, 3);
    this.shrink = shrink;
  }

  projectAll(camera, [fx, fy, cx, cy], size) {
    const { gl, project } = this;
    const [right, down, forward] = axesOf(camera.rotation);
    const [width, height] = size;
    const marginX = (FRUSTUM_MARGIN * 0.5 * width) / fx;
    const marginY = (FRUSTUM_MARGIN * 0.5 * height) / fy;
    gl.bindFramebuffer(gl.FRAMEBUFFER, this.ellipses);
    gl.viewport(0, 0, ROW, this.rows);
    gl.useProgram(project.program);
    this.bind(0, gl.TEXTURE_2D, this.centers);
    this.bind(1, gl.TEXTURE_2D, this.shapes);
    this.bind(2, gl.TEXTURE_2D_ARRAY, this.harmonics);
    gl.uniform1i(project.at.centers, 0);
    gl.uniform1i(project.at.shapes, 1);
    gl.uniform1i(project.at.harmonics, 2);
    // Matrices go column by column: the camera's axes are the rows of camera_from_world.
    gl.uniformMatrix3fv(project.at.cameraFromWorld, false, [0, 1, 2].flatMap((i) => [right[i], down[i], forward[i]]));
    gl.uniform3fv(project.at.eye, camera.position);
    gl.uniform4f(project.at.lens, fx, fy, cx, cy);
    gl.uniform4f(
      project.at.limits,
      -cx / fx - marginX,
      (width - cx) / fx + marginX,
      -cy / fy - marginY,
      (height - cy) / fy + marginY,
    );
    gl.uniform2fv(project.at.size, size);
    gl.drawArrays(gl.TRIANGLES, 0, 3);
  }

  blend(background, size) {
    const { gl, splat } = this;
    gl.bindFramebuffer(gl.FRAMEBUFFER, this.picture.framebuffer);
    gl.viewport(0, 0, ...size);
    gl.clearColor(...background, 1);
    gl.clear(gl.COLOR_BUFFER_BIT);
    gl.enable(gl.BLEND);
    gl.blendFunc(gl.ONE, gl.ONE_MINUS_SRC_ALPHA);
    gl.bindVertexArray(this.instances);
    gl.useProgram(splat.program);
    this.bind(0, gl.TEXTURE_2D, this.places);
    this.bind(1, gl.TEXTURE_2D, this.looks);
    gl.uniform1i(splat.at.places, 0);
    gl.uniform1i(splat.at.looks, 1);
    gl.uniform1i(splat.at.rowShift, ROW_SHIFT);
    gl.uniform2fv(splat.at.size, size);
    gl.drawArraysInstanced(gl.TRIANGLE_STRIP, 0, 4, this.visible);
  }

  /** Camera z of the splat seen at a pixel of the canvas: where half the light is gone; or null. */
  depthAt(x, y) {
    const gl = this.gl;
    const cells = ROW * this.rows;
    const words = new Uint32Array(4 * cells);
    const floats = new Float32Array(words.buffer);
    const read = (attachment) => {
      gl.readBuffer(attachment);
      gl.readPixels(0, 0, ROW, this.rows, gl.RGBA_INTEGER, gl.UNSIGNED_INT, words);
    };
    gl.bindFramebuffer(gl.FRAMEBUFFER, this.ellipses);
    read(gl.COLOR_ATTACHMENT0);
    const shares = new Map(); // of those at the pixel: their part across the longer axis
    const pixel = [x * this.shrink[0], y * this.shrink[1]];
    for (let i = 0; i < cells; ++i) {
      const [ax, ay] = [floats[4 * i + 2], floats[4 * i + 3]];
      const square = ax * ax + ay * ay;
      if (square === 0) continue;
      const [dx, dy] = [pixel[0] - floats[4 * i], pixel[1] - floats[4 * i + 1]];
      const along = (dx * ax + dy * ay) / square;
      if (Math.abs(along) < 1) shares.set(i, [along, (dy * ax - dx * ay) / Math.sqrt(square)]);
    }
    read(gl.COLOR_ATTACHMENT1);
    const hits = [];
    for (const [i, [along, across]] of shares) {
      const share = along ** 2 + (across / floats[4 * i]) ** 2;
      const opacity = halfToNumber(words[4 * i + 2] >>> 16);
      if (share < 1) hits.push([floats[4 * i + 3], opacity * (255 * opacity) ** -share]);
    }
    hits.sort((a, b) => a[0] - b[0]);
    let light = 1;
    for (const [depth, alpha] of hits) {
      light *= 1 - alpha;
      if (light <= 0.5) return depth;
    }
    return light < 0.9 ? hits.at(-1)[0] : null;
  }

  fitPicture(width, height) {
    const gl = this.gl;
    if (this.picture?.width === width && this.picture.height === height) return;
    if (this.picture) {
      gl.deleteTexture(this.picture.texture);
      gl.deleteFramebuffer(this.picture.framebuffer);
    }
    const made = texture(gl, gl.TEXTURE_2D, this.half ? gl.RGBA16F : gl.RGBA8, width, height);
    gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MIN_FILTER, gl.LINEAR);
    gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MAG_FILTER, gl.LINEAR);
    this.picture = { texture: made, framebuffer: framebuffer(gl, made), width, height };
  }

  bind(unit, target, what) {
    this.gl.activeTexture(this.gl.TEXTURE0 + unit);
    this.gl.bindTexture(target, what);
  }
}

function halfToNumber(bits) {
  const exponent = (bits >> 10) & 31;
  const fraction = bits & 1023;
  return exponent ? 2 ** (exponent - 25) * (1024 + fraction) : 2 ** -24 * fraction;
}

/** A linked program, and its uniforms' places by name. */
function program(gl, vertex, fragment) {
  const made = gl.createProgram();
  for (const [kind, source] of [[gl.VERTEX_SHADER, vertex], [gl.FRAGMENT_SHADER, fragment]]) {
    const shader = gl.createShader(kind);
    gl.shaderSource(shader, source);
    gl.compileShader(shader);
    if (!gl.getShaderParameter(shader, gl.COMPILE_STATUS) && !gl.isContextLost()) {
      throw new Error(gl.getShaderInfoLog(shader));
    }
    gl.attachShader(made, shader);
  }
  gl.linkProgram(made);
  if (!gl.getProgramParameter(made, gl.LINK_STATUS) && !gl.isContextLost()) {
    throw new Error(gl.getProgramInfoLog(made));
  }
  const at = {};
  for (let i = 0; i < gl.getProgramParameter(made, gl.ACTIVE_UNIFORMS); ++i) {
    const { name } = gl.getActiveUniform(made, i);
    at[name] = gl.getUniformLocation(made, name);
  }
  return { program: made, at };
}

function texture(gl, target, format, width, height, layers) {
  const made = gl.createTexture();
  gl.bindTexture(target, made);
  if (layers) gl.texStorage3D(target, 1, format, width, height, layers);
  else gl.texStorage2D(target, 1, format, width, height);
  for (const [name, value] of [
    [gl.TEXTURE_MIN_FILTER, gl.NEAREST],
    [gl.TEXTURE_MAG_FILTER, gl.NEAREST],
    [gl.TEXTURE_WRAP_S, gl.CLAMP_TO_EDGE],
    [gl.TEXTURE_WRAP_T, gl.CLAMP_TO_EDGE],
  ]) {
    gl.texParameteri(target, name, value);
  }
  return made;
}

function framebuffer(gl, ...textures) {
  const made = gl.createFramebuffer();
  gl.bindFramebuffer(gl.FRAMEBUFFER, made);
  const attachments = textures.map((what, i) => {
    gl.framebufferTexture2D(gl.FRAMEBUFFER, gl.COLOR_ATTACHMENT0 + i, gl.TEXTURE_2D, what, 0);
    return gl.COLOR_ATTACHMENT0 + i;
  });
  gl.drawBuffers(attachments);
  return made;
}
