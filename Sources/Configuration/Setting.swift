/// One `key = value` of the file, and its readings as the types that keys have. A reading throws where the value is of
/// another type or out of range.
struct Setting {
    enum Value: Equatable {
        /// A sign or none, and digits or none.
        case number(String)
        /// What stood between quotes.
        case text(String)
    }

    let path: String
    let line: Int
    let key: ConfigurationKey
    let value: Value

    func boolean() throws(ConfigurationError) -> Bool {
        try integer(in: 0...1) == 1
    }

    func integer(in range: ClosedRange<Int>) throws(ConfigurationError) -> Int {
        guard case .number(let digits) = value else { throw refused("is a text") }
        guard digits.utf8.last?.isDigit == true else { throw refused("is no number") }
        guard let number = Int(digits), range.contains(number) else { throw refused("is out of range") }
        return number
    }

    func seconds() throws(ConfigurationError) -> Double {
        switch value {
        case .number:
            return Double(try integer(in: 0...Int(longestDurationSeconds)))
        case .text(let text):
            guard let seconds = parseDuration(text) else { throw refused("is no duration") }
            return seconds
        }
    }

    func onLeaseLoss() throws(ConfigurationError) -> OnLeaseLoss {
        guard case .text(let text) = value, let word = OnLeaseLoss(rawValue: text) else { throw refused("is unknown") }
        return word
    }

    /// A directory whose path goes to sanlock, which writes a backslash before each blank and colon and drops every
    /// backslash when it reads: one in the path itself would be lost.
    func leaseDirectory() throws(ConfigurationError) -> String {
        let path = try absolutePath()
        guard !path.utf8.contains(UInt8(ascii: "\\")) else { throw refused("has a backslash, which sanlock drops") }
        let escapes = path.utf8.count { $0 == UInt8(ascii: " ") || $0 == UInt8(ascii: ":") }
        let length = path.utf8.count + escapes
        guard length <= Limits.diskLeaseDirectoryBytes else { throw refused("is too long: \(length) bytes") }
        return path
    }

    func runDirectory() throws(ConfigurationError) -> String {
        let path = try absolutePath()
        let length = path.utf8.count
        guard length <= Limits.runDirectoryBytes else {
            throw refused("is too long for a socket in it: \(length) bytes")
        }
        return path
    }

    private func absolutePath() throws(ConfigurationError) -> String {
        guard case .text(let path) = value else { throw refused("is a number") }
        guard path.utf8.first == UInt8(ascii: "/") else { throw refused("is no absolute path") }
        guard !path.utf8.contains(where: { $0 < 0x20 || $0 == 0x7F }) else { throw refused("has a control character") }
        return path
    }

    /// A user or a group. libvirt's `"+107"`, an id and never a name, becomes `107`.
    func account() throws(ConfigurationError) -> String {
        guard case .text(let text) = value else { return String(try integer(in: Limits.accountId)) }
        let digits = text.utf8.first == UInt8(ascii: "+") ? text.dropFirst() : text[...]
        if !digits.isEmpty, digits.utf8.allSatisfy(\.isDigit) {
            guard let id = Int(digits), Limits.accountId.contains(id) else { throw refused("is out of range") }
            return String(id)
        }
        let isName =
            (1...Limits.accountNameBytes).contains(text.utf8.count)
            && !text.utf8.contains { $0 < 0x20 || $0 == 0x7F || $0 == UInt8(ascii: ":") || $0 == UInt8(ascii: "/") }
            && text.utf8.first != UInt8(ascii: "+") && text.utf8.first != UInt8(ascii: "-")
        guard isName else { throw refused("is no name") }
        return text
    }

    private func refused(_ what: String) -> ConfigurationError {
        let shown =
            switch value {
            case .number(let digits): printable(digits)
            case .text(let text): "\"\(printable(text))\""
            }
        return ConfigurationError(
            path: path, line: line, key: key.rawValue, problem: "\(shown) \(what); allowed is \(key.allowed)")
    }
}
