import Platform

/// How a path leads to what it names: every symbolic link on the way, in the order in which they are followed.
struct PathWalk {
    struct Link: Equatable {
        /// Where it is, with no link in front of it.
        let path: String
        /// Whether it is a name of the thing itself, not of a directory on the way.
        let isLast: Bool
    }

    private(set) var links: [Link] = []
    /// The path without any link, `.`, `..` or doubled slash.
    private(set) var real = ""

    /// As many as the kernel follows (`man 7 path_resolution`).
    private static let mostLinks = 40

    /// Follows an absolute path. What isn't there is taken for what has no link. Nil where there are too many links.
    init?(_ path: String) {
        var pending = PathWalk.components(of: path)
        while let name = pending.popLast() {
            if name.hasSameBytes(as: "..") {
                real = PathWalk.parent(of: real)
                continue
            }
            let place = "\(real)/\(name)"
            guard let target = Files.linkTarget(place) else {
                real = place
                continue
            }
            guard links.count < PathWalk.mostLinks else { return nil }
            links.append(Link(path: place, isLast: pending.isEmpty))
            if target.startsWithBytes(of: "/") { real = "" }
            pending += PathWalk.components(of: target)
        }
    }

    /// The names by which the thing itself is passed on, as given first and without any link last.
    var names: [String] { links.filter(\.isLast).map(\.path) + [real] }

    /// The last first. By bytes: to Swift, a slash with an accent behind it is another character.
    private static func components(of path: String) -> [String] {
        path.utf8.split(separator: UInt8(ascii: "/")).map { String(Substring($0)) }
            .filter { !$0.hasSameBytes(as: ".") }.reversed()
    }

    private static func parent(of path: String) -> String {
        let slash = path.utf8.lastIndex(of: UInt8(ascii: "/")) ?? path.startIndex
        return String(Substring(path.utf8[..<slash]))
    }
}
