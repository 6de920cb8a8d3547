/// The most levels a value may nest. QEMU allows more, but no disk needs them, and recursion has to end somewhere.
let nestingLimit = 48

/// A value of QEMU's option syntaxes: JSON's, or one built from `a.b.c=value`, where every leaf is text.
indirect enum OptionValue: Equatable {
    case null
    case bool(Bool)
    /// A JSON number, as written.
    case number(String)
    case text(String)
    case list([OptionValue])
    case object(OptionObject)
}

/// Named values.
struct OptionObject: Equatable {
    private(set) var values: [String: OptionValue] = [:]

    var isEmpty: Bool { values.isEmpty }

    subscript(key: String) -> OptionValue? {
        get { values[key] }
        set { values[key] = newValue }
    }

    /// The value as text: numbers as written.
    func text(_ key: String) -> String? {
        switch values[key] {
        case .text(let text), .number(let text): text
        default: nil
        }
    }

    func object(_ key: String) -> OptionObject? {
        guard case .object(let object) = values[key] else { return nil }
        return object
    }

    /// The boolean under `key`, in JSON or in any of QEMU's words for it; nil where there is none.
    func bool(_ key: String) throws(Refusal) -> Bool? {
        switch values[key] {
        case nil: return nil
        case .bool(let bool): return bool
        case .text(let text): return try readBool(text, of: key)
        default: throw Refusal("\(key) is not on or off")
        }
    }

    /// The elements of a list, or of an object whose keys are `0`, `1`, …: how a list looks in `key.0.…=value`.
    func elements(_ key: String) -> [OptionValue]? {
        switch values[key] {
        case .list(let list): return list
        case .object(let object):
            let numbered = object.values.compactMap { key, value in Int(key).map { ($0, value) } }
            guard !numbered.isEmpty, numbered.count == object.values.count else { return nil }
            return numbered.sorted { $0.0 < $1.0 }.map(\.1)
        default: return nil
        }
    }

    /// Puts `value` where the dotted `path` says. Repeated, the last one counts.
    mutating func insert(_ value: OptionValue, at path: String) throws(Refusal) {
        let names = path.utf8.split(separator: .dot, omittingEmptySubsequences: false).map { String($0) ?? "" }
        guard names.count <= nestingLimit else { throw Refusal("\(names[0]).… is nested too deeply") }
        guard !names.contains("") else { throw Refusal("'\(path)' is no parameter name") }
        try insert(value, at: names[...], of: path)
    }

    private mutating func insert(_ value: OptionValue, at names: ArraySlice<String>, of path: String) throws(Refusal) {
        guard let name = names.first else { return }
        let rest = names.dropFirst()
        guard !rest.isEmpty else {
            if case .object(let new) = value, case .object(let old)? = values[name] {
                values[name] = .object(new.over(old))
            } else if case .object? = values[name] {
                throw Refusal("'\(path)' is given as a value and as a group")
            } else {
                values[name] = value
            }
            return
        }
        var child: OptionObject
        switch values[name] {
        case nil: child = OptionObject()
        case .object(let object): child = object
        default: throw Refusal("'\(path)' is given as a value and as a group")
        }
        try child.insert(value, at: rest, of: path)
        values[name] = .object(child)
    }

    /// These values, and those of `other` that aren't here.
    func over(_ other: OptionObject) -> OptionObject {
        var result = other
        for (key, value) in values {
            if case .object(let new) = value, case .object(let old)? = result.values[key] {
                result.values[key] = .object(new.over(old))
            } else {
                result.values[key] = value
            }
        }
        return result
    }

    /// This with `"a.b": value` written out as `"a": {"b": value}`, as QEMU takes it in a `json:` file name.
    func expandingDots() throws(Refusal) -> OptionObject {
        var result = OptionObject()
        for (key, value) in values.sorted(by: { $0.key < $1.key }) {
            var value = value
            if case .object(let object) = value {
                value = .object(try object.expandingDots())
            } else if case .list(let list) = value {
                var expanded: [OptionValue] = []
                for element in list {
                    guard case .object(let object) = element else { expanded.append(element); continue }
                    expanded.append(.object(try object.expandingDots()))
                }
                value = .list(expanded)
            }
            try result.insert(value, at: key)
        }
        return result
    }
}

/// Reads the words QEMU has for a boolean.
func readBool(_ text: String, of key: String) throws(Refusal) -> Bool {
    switch text {
    case "on", "yes", "true", "y": return true
    case "off", "no", "false", "n": return false
    default: throw Refusal("\(key)=\(text) is not on or off")
    }
}
