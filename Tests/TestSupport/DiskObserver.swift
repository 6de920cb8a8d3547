import Foundation
import Synchronization

/// Looks at the shared disk of two `WriterGuest`s all the time, and writes down when each has written.
///
/// A write is seen at most one look, some milliseconds, after it was done.
public final class DiskObserver: Sendable {
    /// One change that was seen.
    public struct Write: Sendable {
        /// The end of the last look that didn't see it, in CLOCK_MONOTONIC: it was done later.
        public let afterNanoseconds: UInt64
        /// When it was seen, in CLOCK_MONOTONIC: it was done earlier.
        public let seenNanoseconds: UInt64
        /// The guest's number then. It may have grown by more than one.
        public let number: UInt32
    }

    private struct State {
        var writes: [UInt32: [Write]] = [:]
        var isEnding = false
        var hasEnded = false
    }

    private let state = Mutex(State())
    private static let sectorBytes = 512

    /// Starts to look, every `milliseconds`, in a thread of its own.
    ///
    /// - Parameter disk: the disk by a path that no fault is injected on.
    public init(_ disk: String, every milliseconds: Double = 4) throws {
        let descriptor = open(disk, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw systemError("can't open \(disk)") }
        Thread { [self] in
            look(descriptor, milliseconds)
            close(descriptor)
            state.withLock { $0.hasEnded = true }
        }.start()
    }

    private func look(_ descriptor: Int32, _ milliseconds: Double) {
        var sectors = [UInt8](repeating: 0, count: 3 * Self.sectorBytes)
        var before = monotonicNanoseconds()
        while !state.withLock({ $0.isEnding }) {
            let length = pread(descriptor, &sectors, sectors.count, 0)
            let now = monotonicNanoseconds()
            // The last third first: identity 1 writes the second and the third sector, identity 2 the first and second.
            for (identity, sector) in [(UInt32(1), 2), (UInt32(2), 0)] where length == sectors.count {
                let fields = (0..<3).map { Self.number(sectors, sector * Self.sectorBytes + 4 * $0) }
                guard fields[0] == 0x3157_484c, fields[1] == identity else { continue }
                state.withLock { state in
                    guard state.writes[identity]?.last?.number != fields[2] else { return }
                    state.writes[identity, default: []].append(
                        Write(afterNanoseconds: before, seenNanoseconds: now, number: fields[2]))
                }
            }
            before = now
            pause(milliseconds: milliseconds)
        }
    }

    private static func number(_ bytes: [UInt8], _ offset: Int) -> UInt32 {
        (0..<4).reduce(0) { $0 | UInt32(bytes[offset + $1]) << UInt32(8 * $1) }
    }

    /// Every write of a guest that was seen, the first one first.
    public func writes(of identity: UInt32) -> [Write] { state.withLock { $0.writes[identity] ?? [] } }

    /// The last write of a guest; nil where there is none.
    public func lastWrite(of identity: UInt32) -> Write? { state.withLock { $0.writes[identity]?.last } }

    /// Stops looking; returns when no more is written down.
    public func end() {
        state.withLock { $0.isEnding = true }
        _ = try? eventually(within: 5, "the observer's end") { state.withLock { $0.hasEnded } }
    }
}
