/// A group of options in a file of `-readconfig`: `[GROUP "ID"]` and lines `KEY = "VALUE"`.
struct ConfigurationGroup: Equatable {
    var name: String
    var options: OptionList

    /// Reads the whole file, as QEMU does (`qemu_config_foreach`).
    /// - Throws: with the number of the line that can't be read.
    static func read(_ text: String) throws(Refusal) -> [ConfigurationGroup] {
        var groups: [ConfigurationGroup] = []
        var number = 0
        for line in text.utf8.split(separator: 0x0a, omittingEmptySubsequences: false) {
            number += 1
            let line = Bytes(line)
            if line.isEmpty || line.first == UInt8(ascii: "#") { continue }
            // QEMU reads 1023 bytes at a time and would take the rest for another line.
            guard line.count < 1000 else { throw Refusal("line \(number) is too long") }
            if line.first == UInt8(ascii: "["), let group = header(line) {
                groups.append(group)
            } else if let item = assignment(line) {
                guard !groups.isEmpty else { throw Refusal("line \(number) is in no group") }
                groups[groups.count - 1].options.items.append(item)
            } else if !line.allSatisfy(\.isSpace) {
                throw Refusal("line \(number) is not KEY = \"VALUE\"")
            }
        }
        return groups
    }

    private static func header(_ line: Bytes) -> ConfigurationGroup? {
        guard let (inside, _) = line.dropFirst().cut(at: UInt8(ascii: "]")) else { return nil }
        let words = inside.split(maxSplits: 1, whereSeparator: \.isSpace)
        guard let name = words.first else { return nil }
        guard words.count == 2 else { return ConfigurationGroup(name: name.text, options: OptionList()) }
        // An id may have a ']' in it, so it is looked for in the whole line.
        guard let (_, quoted) = line.cut(at: UInt8(ascii: "\"")), let (id, _) = quoted.cut(at: UInt8(ascii: "\"")),
            !id.isEmpty
        else { return nil }
        return ConfigurationGroup(name: name.text, options: OptionList(items: [.init(key: "id", value: id.text)]))
    }

    private static func assignment(_ line: Bytes) -> OptionList.Item? {
        let line = line.drop(while: \.isSpace)
        let key = line.prefix { !$0.isSpace }
        let afterKey = line[key.endIndex...].drop(while: \.isSpace)
        guard !key.isEmpty, afterKey.first == .equals else { return nil }
        let afterEquals = afterKey.dropFirst().drop(while: \.isSpace)
        guard afterEquals.first == UInt8(ascii: "\""),
            let (value, _) = afterEquals.dropFirst().cut(at: UInt8(ascii: "\""))
        else {
            return nil
        }
        return OptionList.Item(key: key.text, value: value.text)
    }
}
