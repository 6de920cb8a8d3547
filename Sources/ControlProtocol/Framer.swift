/// Cuts a byte stream into varlink's messages, each of which ends in a NUL.
///
/// Feed it what was read, then take messages until there is none. Every byte is looked at once, however the stream
/// is chopped up, and what a message took is given back once it has been taken.
public struct Framer: Sendable {
    /// The longest call a supervisor reads, in bytes without the NUL.
    public static let longestCallBytes = 256 << 10

    /// The longest reply a client reads. A Status has the guest's whole command line, which Linux lets be megabytes.
    public static let longestReplyBytes = 16 << 20

    /// The longest message, in bytes without the NUL.
    public let limitBytes: Int

    private var buffer: [UInt8] = []
    private var start = 0
    private var scanned = 0
    private var isBroken = false

    /// Makes a framer for one connection.
    ///
    /// - Parameter limitBytes: the longest message, in bytes without the NUL.
    public init(limitBytes: Int = Framer.longestCallBytes) {
        self.limitBytes = limitBytes
    }

    /// Whether bytes of a message without its end are waiting. At the end of a stream they are a message cut short.
    public var hasPartialMessage: Bool { start < buffer.count }

    /// Adds what was read. Take all messages before adding more, else what waits isn't bounded.
    public mutating func append(_ bytes: UnsafeRawBufferPointer) {
        guard !isBroken else { return }
        buffer.append(contentsOf: bytes)
    }

    /// Adds what was read; see the other `append`.
    public mutating func append(_ bytes: [UInt8]) {
        guard !isBroken else { return }
        buffer.append(contentsOf: bytes)
    }

    /// Takes the next message, without its NUL.
    ///
    /// - Returns: nil where the message isn't complete yet.
    /// - Throws: ``FramerError`` where it is longer than the limit, from then on always: the stream can't be
    ///   followed any more, close it.
    public mutating func next() throws(FramerError) -> [UInt8]? {
        guard !isBroken else { throw .messageTooLong(limitBytes: limitBytes) }
        let end = buffer[scanned...].firstIndex(of: 0)
        guard (end ?? buffer.count) - start <= limitBytes else {
            isBroken = true
            buffer = []
            start = 0
            scanned = 0
            throw .messageTooLong(limitBytes: limitBytes)
        }
        guard let end else {
            discardTaken()
            scanned = buffer.count
            return nil
        }
        let message = Array(buffer[start..<end])
        start = end + 1
        scanned = start
        if start == buffer.count { discardTaken() }
        return message
    }

    /// Moving the rest down costs at most what the messages taken cost to read, as it happens once a burst.
    private mutating func discardTaken() {
        guard start > 0 else { return }
        if start == buffer.count {
            // A connection that idles keeps no large buffer.
            if buffer.capacity > 4096 { buffer = [] } else { buffer.removeAll(keepingCapacity: true) }
        } else {
            buffer.removeSubrange(..<start)
        }
        start = 0
        scanned = 0
    }
}

/// What ends a stream of messages.
public enum FramerError: Error, Sendable, Equatable {
    /// A message is longer than the limit.
    case messageTooLong(limitBytes: Int)
}
