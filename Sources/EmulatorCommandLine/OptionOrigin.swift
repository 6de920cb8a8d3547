/// An option as it is named to people: on one line, without passwords, cut where it is very long.
func origin(_ option: String, _ argument: String? = nil) -> String {
    oneLine(argument.map { option + " " + withoutSecrets($0) } ?? withoutSecrets(option), limit: 480)
}

/// The text on one line, at most about `limit` bytes of it.
func oneLine(_ text: String, limit: Int) -> String {
    var line = ""
    for scalar in text.unicodeScalars {
        if line.utf8.count >= limit { return line + "…" }
        switch scalar.properties.generalCategory {
        case .control, .format, .lineSeparator, .paragraphSeparator: line += scalar.escaped(asASCII: true)
        default: line.unicodeScalars.append(scalar)
        }
    }
    return line
}

/// Hides `USER[:PASSWORD]@` of a URL and the values of `password` and `key`, whichever way they are spelled.
func withoutSecrets(_ text: String) -> String {
    var result: [UInt8] = []
    var rest = text.bytes
    while let byte = rest.first {
        if let after = rest.after("://") {
            let authority = after.prefix { !"/?#,\"'".utf8.contains($0) }
            result.append(contentsOf: "://".utf8)
            rest = after
            if let at = authority.lastIndex(of: UInt8(ascii: "@")) {
                result.append(contentsOf: "***".utf8)
                rest = after[at...]
            }
            continue
        }
        let isWordStart = result.last.map { !$0.isLetter && $0 != .dash } ?? true
        if isWordStart, let (taken, value) = secretKey(rest) {
            result.append(contentsOf: taken)
            result.append(contentsOf: "***".utf8)
            rest = value.drop { !",:\"'}".utf8.contains($0) }
            continue
        }
        result.append(byte)
        rest = rest.dropFirst()
    }
    return result[...].text
}

/// `password=`, `"password": "` and the same with `key`; nil where the text doesn't begin with one.
private func secretKey(_ text: Bytes) -> (taken: Bytes, value: Bytes)? {
    guard let after = text.after("password") ?? text.after("key") else { return nil }
    let value = after.drop { "\"' :=".utf8.contains($0) }
    let between = after[after.startIndex..<value.startIndex]
    guard between.contains(.equals) || between.contains(.colon) else { return nil }
    return (text[text.startIndex..<value.startIndex], value)
}
