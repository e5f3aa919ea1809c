// Draws points with WebGL, each with a colour and a shape by its value: whoever does not tell red from green tells a dot
// from a cross.
//
// A frame draws as many as it has time for, and the frames behind it add the rest to the same picture. So the map follows
// the hand where a program stands in for the GPU, which takes about a microsecond for a point: what moves is an even part
// of the points, for they come in an order of chance, and what rests is all of them.

const SLICE_MS = 6; // of a frame's 16: the page around the map is drawn in it too
const FIRST = 4000;
const LEAST = 500;

const VERTEX = `
attribute vec2 place; attribute float code; attribute float chosen;
uniform vec2 scale; uniform vec2 offset; uniform float size; uniform vec4 colours[9]; uniform float shapes[9];
uniform float isAll; uniform vec4 faint;
varying vec4 colour; varying float shape;
void main() {
  int value = int(code + 0.5);
  vec4 own = colours[value];
  bool isLit = isAll > 0.5 || chosen > 0.5;
  colour = isLit ? own : vec4(faint.rgb, own.a * faint.a);
  shape = shapes[value];
  vec2 at = place * scale + offset;
  gl_Position = own.a > 0.0 ? vec4(at, isLit ? 0.0 : 0.5, 1.0) : vec4(2.0, 2.0, 0.0, 1.0);
  gl_PointSize = isLit ? size : size * 0.75;
}`;
// Shapes: 0 dot, 1 cross, 2 triangle, 3 square, 4 diamond.
const FRAGMENT = `
precision mediump float;
varying vec4 colour; varying float shape;
void main() {
  vec2 at = gl_PointCoord * 2.0 - 1.0;
  vec2 far = abs(at);
  bool isIn = length(at) < 0.8;
  if (shape > 3.5) isIn = far.x + far.y < 0.95;
  else if (shape > 2.5) isIn = max(far.x, far.y) < 0.68;
  else if (shape > 1.5) isIn = at.y < 0.7 && at.y > -0.9 + 2.0 * far.x;
  else if (shape > 0.5) isIn = abs(far.x - far.y) < 0.3 && max(far.x, far.y) < 0.9;
  if (!isIn) discard;
  gl_FragColor = vec4(colour.rgb * colour.a, colour.a);
}`;

function compiled(gl, kind, source) {
  const shader = gl.createShader(kind);
  gl.shaderSource(shader, source);
  gl.compileShader(shader);
  if (!gl.getShaderParameter(shader, gl.COMPILE_STATUS)) throw new Error(gl.getShaderInfoLog(shader));
  return shader;
}

export class Painter {
  // `canvas` without WebGL gives null.
  static on(canvas) {
    const gl = canvas.getContext("webgl", { antialias: false, premultipliedAlpha: true, preserveDrawingBuffer: true });
    return gl ? new Painter(canvas, gl) : null;
  }

  constructor(canvas, gl) {
    this.canvas = canvas;
    this.gl = gl;
    const program = gl.createProgram();
    gl.attachShader(program, compiled(gl, gl.VERTEX_SHADER, VERTEX));
    gl.attachShader(program, compiled(gl, gl.FRAGMENT_SHADER, FRAGMENT));
    gl.linkProgram(program);
    gl.useProgram(program);
    this.program = program;
    this.buffers = {};
    this.slice = FIRST;
    this.drawn = 0;
    gl.enable(gl.BLEND);
    gl.blendFunc(gl.ONE, gl.ONE_MINUS_SRC_ALPHA);
    gl.enable(gl.DEPTH_TEST);
    gl.depthFunc(gl.LEQUAL);
  }

  load(name, values, parts, type) {
    const { gl } = this;
    const spot = gl.getAttribLocation(this.program, name);
    this.buffers[name] ??= gl.createBuffer();
    gl.bindBuffer(gl.ARRAY_BUFFER, this.buffers[name]);
    gl.bufferData(gl.ARRAY_BUFFER, values, gl.STATIC_DRAW);
    gl.enableVertexAttribArray(spot);
    gl.vertexAttribPointer(spot, parts, type, false, 0, 0);
  }

  take(points) {
    this.count = points.count;
    this.load("place", points.places, 2, this.gl.FLOAT);
    this.load("chosen", points.chosen, 1, this.gl.UNSIGNED_BYTE);
    this.isAll = points.chosen.every((is) => is) ? 1 : 0;
  }

  // `colours` are nine [r, g, b, a] of 0 to 1, `shapes` nine numbers; a colour with alpha 0 hides its points.
  colourBy(codes, colours, shapes, faint) {
    const { gl, program } = this;
    this.load("code", codes, 1, gl.UNSIGNED_BYTE);
    gl.uniform4fv(gl.getUniformLocation(program, "colours"), new Float32Array(colours.flat()));
    gl.uniform1fv(gl.getUniformLocation(program, "shapes"), new Float32Array(shapes));
    gl.uniform4fv(gl.getUniformLocation(program, "faint"), new Float32Array(faint));
  }

  // `view`: {x, y, scale}, the map's place in the middle of the canvas and CSS pixels for the map's whole side. Begins
  // a picture; `more` goes on with it.
  draw(view) {
    const { gl, canvas, program } = this;
    const ratio = devicePixelRatio || 1;
    const [width, height] = [canvas.clientWidth, canvas.clientHeight];
    if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
      canvas.width = Math.round(width * ratio);
      canvas.height = Math.round(height * ratio);
    }
    gl.viewport(0, 0, canvas.width, canvas.height);
    gl.clearColor(0, 0, 0, 0);
    gl.clear(gl.COLOR_BUFFER_BIT | gl.DEPTH_BUFFER_BIT);
    const scale = [(2 * view.scale) / width, (2 * view.scale) / height];
    gl.uniform2fv(gl.getUniformLocation(program, "scale"), scale);
    gl.uniform2fv(gl.getUniformLocation(program, "offset"), [-view.x * scale[0], -view.y * scale[1]]);
    gl.uniform1f(gl.getUniformLocation(program, "isAll"), this.isAll);
    const crowd = Math.sqrt(4000 / Math.max(this.count, 1));
    const size = Math.min(14, Math.max(2.5, 4.6 * Math.min(1.4, crowd) * Math.sqrt(view.scale / Math.min(width, height))));
    gl.uniform1f(gl.getUniformLocation(program, "size"), size * ratio);
    this.drawn = 0;
    this.more();
  }

  get isWhole() {
    return this.drawn >= this.count;
  }

  // The next points of the picture, as many as the ones before say that a frame can draw. Reading a pixel waits for them.
  more() {
    const { gl } = this;
    const many = Math.min(this.slice, this.count - this.drawn);
    if (many <= 0) return;
    const began = performance.now();
    gl.drawArrays(gl.POINTS, this.drawn, many);
    gl.readPixels(0, 0, 1, 1, gl.RGBA, gl.UNSIGNED_BYTE, new Uint8Array(4));
    const fits = (many * SLICE_MS) / Math.max(performance.now() - began, 0.1);
    this.drawn += many;
    // The last slice of a picture may be of a few points, which say little of how many would fit.
    if (many < this.slice && fits > many) return;
    this.slice = Math.round(Math.max(LEAST, Math.min(this.slice * 2, Math.max(this.slice / 2, fits))));
  }
}
