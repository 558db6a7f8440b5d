// What a call needs of the browser: tracks, codecs, candidates, descriptions.

const GATHER_QUIET = 600; // ms; times as the official client has them
const GATHER_LIMIT = 5_000;

const CONSTRAINTS = {
  audio: { echoCancellation: true, noiseSuppression: true, autoGainControl: true },
  video: {
    width: { ideal: 1280, min: 320 },
    height: { ideal: 720, min: 180 },
    aspectRatio: { ideal: 16 / 9 },
  },
};

/** One camera or microphone; throws what getUserMedia throws, NotSupportedError on a plain page. */
export async function openTrack(kind) {
  if (!navigator.mediaDevices) {
    throw new DOMException("Browsers give camera and microphone to https pages only.", "NotSupportedError");
  }
  const stream = await navigator.mediaDevices.getUserMedia({ [kind]: CONSTRAINTS[kind] });
  return stream.getTracks()[0];
}

/** Whether this browser can show what the hub sends: H.264 or VP8. */
export function canPlay() {
  const codecs = globalThis.RTCRtpReceiver?.getCapabilities?.("video")?.codecs ?? [];
  return codecs.some((codec) => /^video\/(h264|vp8)$/i.test(codec.mimeType));
}

// Without trickle the offer leaves when all candidates are in it.
export function gathered(pc) {
  return new Promise((resolve) => {
    let timer = setTimeout(resolve, GATHER_LIMIT);
    pc.onicecandidate = ({ candidate }) => {
      clearTimeout(timer);
      timer = setTimeout(resolve, candidate ? GATHER_QUIET : 0);
    };
  });
}

// A page without camera permission gets addresses as names that only its own link can resolve; the hub
// learns the real one from the first packet, sooner than it would from such a name.
export function withoutNames(sdp) {
  return sdp.replace(/a=candidate:[^\r\n]* [\w-]+\.local [^\r\n]*\r?\n/g, "");
}

// Servers list audio first in an answer; browsers want the order of their offer.
export function inOrderOf(offer, answer) {
  const split = (sdp) => sdp.trim().split(/\r?\n(?=m=)/);
  const kind = (section) => section.slice(2, section.indexOf(" "));
  const [head, ...sections] = split(answer);
  const ordered = split(offer).slice(1).map((wanted) => {
    const at = sections.findIndex((section) => kind(section) === kind(wanted));
    return at < 0 ? "" : sections.splice(at, 1)[0];
  });
  return [head, ...ordered, ...sections].filter(Boolean).join("\r\n") + "\r\n";
}

/**
 * Camera and microphone with one question to the user where the browser allows it. What cannot be had
 * is left out and told of: `{ tracks: { audio, video }, failures: [{ kind, error }] }`.
 */
export async function openTracks(kinds) {
  const tracks = { audio: null, video: null };
  const failures = [];
  if (kinds.length > 1 && navigator.mediaDevices) {
    try {
      const wanted = Object.fromEntries(kinds.map((kind) => [kind, CONSTRAINTS[kind]]));
      const stream = await navigator.mediaDevices.getUserMedia(wanted);
      for (const track of stream.getTracks()) tracks[track.kind] = track;
      return { tracks, failures };
    } catch {
      // One of them may still be there.
    }
  }
  for (const kind of kinds) {
    try {
      tracks[kind] = await openTrack(kind);
    } catch (error) {
      failures.push({ kind, error });
    }
  }
  return { tracks, failures };
}
