/// QEMU's older syntax (`QemuOpts`: `-drive`, `-device`, `-name`): `key=value,flag,noflag`, `,,` for a comma, keys in any
/// number. Keys that repeat are kept in order, as what rules then depends on the key.
struct OptionList: Equatable {
    struct Item: Equatable {
        var key: String
        var value: String
        /// Given without `=`.
        var isFlag: Bool = false
    }

    var items: [Item]

    init(items: [Item] = []) {
        self.items = items
    }

    /// - Parameter firstKey: the key of a first word without `=`, where the option has one.
    init(_ text: String, firstKey: String? = nil) {
        items = []
        var rest = text.bytes
        var firstKey = firstKey
        while !rest.isEmpty {
            let end = rest.firstIndex { $0 == .equals || $0 == .comma } ?? rest.endIndex
            let name = rest[rest.startIndex..<end]
            if end < rest.endIndex, rest[end] == .equals {
                rest = rest[(end + 1)...]
                items.append(Item(key: name.text, value: takeValue(&rest)))
            } else if let key = firstKey {
                items.append(Item(key: key, value: takeValue(&rest)))
            } else {
                rest = rest[end...]
                if let positive = name.after("no") {
                    items.append(Item(key: positive.text, value: "off", isFlag: true))
                } else {
                    items.append(Item(key: name.text, value: "on", isFlag: true))
                }
            }
            firstKey = nil
            if rest.first == .comma { rest = rest.dropFirst() }
        }
    }

    /// The value that counts where QEMU looks a key up: the last one.
    subscript(key: String) -> String? {
        items.last { $0.key == key }?.value
    }

    /// An `id` is the first one given (`opts_parse_id`).
    var id: String? {
        items.first { $0.key == "id" }?.value
    }

    /// The boolean under any of `keys`; nil where there is none. Where they disagree, `off`: QEMU lets the first `readonly`
    /// and the last `snapshot` rule, and `off` is the answer that protects the disk.
    func bool(_ keys: String...) throws(Refusal) -> Bool? {
        var result: Bool?
        for item in items where keys.contains(item.key) {
            let value = try readBool(item.value, of: item.key)
            result = value && result != false
        }
        return result
    }

    /// As an object: dots make groups.
    func object() throws(Refusal) -> OptionObject {
        var object = OptionObject()
        for item in items {
            try object.insert(.text(item.value), at: item.key)
        }
        return object
    }
}

extension OptionObject {
    /// QEMU's newer syntax (`keyval`: `-blockdev`, `-object`) and the JSON these options take as well.
    /// - Parameter firstKey: the key of a first word without `=`.
    init(keyvalOrJSON text: String, firstKey: String) throws(Refusal) {
        if text.begins(with: "{") {
            self = try OptionObject(json: text).expandingDots()
            return
        }
        self.init()
        var rest = text.bytes
        var firstKey: String? = firstKey
        while !rest.isEmpty {
            let end = rest.firstIndex { $0 == .equals || $0 == .comma } ?? rest.endIndex
            let name = rest[rest.startIndex..<end].text
            if end < rest.endIndex, rest[end] == .equals {
                rest = rest[(end + 1)...]
                try insert(.text(takeValue(&rest)), at: name)
            } else if let key = firstKey, !name.isEmpty {
                try insert(.text(takeValue(&rest)), at: key)
            } else {
                throw Refusal("'=' is missing after '\(name)'")
            }
            firstKey = nil
            if rest.first == .comma { rest = rest.dropFirst() }
        }
    }

    init(json text: String) throws(Refusal) {
        guard case .object(let object) = try JSONReader.read(text) else { throw Refusal("the JSON is no object") }
        self = object
    }
}

/// Takes a value off the front of `rest`, up to a comma that isn't doubled.
private func takeValue(_ rest: inout Bytes) -> String {
    var value: [UInt8] = []
    while let byte = rest.first {
        if byte == .comma {
            guard rest.dropFirst().first == .comma else { break }
            rest = rest.dropFirst()
        }
        value.append(byte)
        rest = rest.dropFirst()
    }
    return value[...].text
}
