/// Cuts what a monitor sends into messages. One ends with the line, or, where the monitor writes JSON over several lines (`pretty=on`),
/// with the line on which its last bracket closes. Every byte is looked at once.
struct MonitorLines: Sendable {
    private let limitBytes: Int
    private var message: [UInt8] = []
    private var depth = 0
    private var isInString = false
    private var isEscaped = false

    /// - Parameter limitBytes: the longest message, in bytes without its last newline.
    init(limitBytes: Int) {
        self.limitBytes = limitBytes
    }

    /// Takes a byte in.
    ///
    /// - Returns: the message that it ends, if any; never an empty one.
    mutating func append(_ byte: UInt8) throws(MonitorError) -> [UInt8]? {
        if byte == UInt8(ascii: "\n"), depth <= 0 || isInString { return take() }
        guard message.count < limitBytes else {
            message = []
            throw .lineTooLong(limitBytes: limitBytes)
        }
        message.append(byte)
        follow(byte)
        return nil
    }

    private mutating func follow(_ byte: UInt8) {
        if isEscaped {
            isEscaped = false
        } else if isInString {
            if byte == UInt8(ascii: "\\") { isEscaped = true }
            if byte == UInt8(ascii: "\"") { isInString = false }
        } else {
            switch byte {
            case UInt8(ascii: "\""): isInString = true
            case UInt8(ascii: "{"), UInt8(ascii: "["): depth += 1
            case UInt8(ascii: "}"), UInt8(ascii: "]"): depth -= 1
            default: break
            }
        }
    }

    private mutating func take() -> [UInt8]? {
        let isBlank = message.allSatisfy { $0 == 0x20 || $0 == 0x0d || $0 == 0x09 }
        let taken = message
        depth = 0
        isInString = false
        isEscaped = false
        message = []
        return isBlank ? nil : taken
    }
}
