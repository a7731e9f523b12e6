import ts from "typescript";

/** Makes every `await` of compiled code a place where an interrupt can end it: `await x` becomes `await interruptible(x)`, and
 * `for await (… of xs)` goes through `interruptible.each(xs)`, where `interruptible` is what RunningCells installs. Code that is
 * carried to where that does not exist (a worker, a web page) awaits as it always did. */
export const interruptibleAwaits: ts.TransformerFactory<ts.SourceFile> = (context) => (file) => {
  const { factory } = context;
  const visit = (node: ts.Node): ts.Node => {
    const visited = ts.visitEachChild(node, visit, context);
    if (ts.isAwaitExpression(visited)) return factory.updateAwaitExpression(visited, through([], visited.expression));
    if (ts.isForOfStatement(visited) && visited.awaitModifier) {
      const { awaitModifier, initializer, expression, statement } = visited;
      return factory.updateForOfStatement(visited, awaitModifier, initializer, through(["each"], expression), statement);
    }
    return visited;
  };

  /** `(globalThis.__interruptible ?? ((value) => value))(argument)` */
  function through(path: readonly string[], argument: ts.Expression): ts.Expression {
    const name = (text: string): ts.Identifier => factory.createIdentifier(text);
    let hook: ts.Expression = factory.createPropertyAccessExpression(name("globalThis"), name("__interruptible"));
    for (const part of path) {
      const optional = factory.createToken(ts.SyntaxKind.QuestionDotToken);
      hook = factory.createPropertyAccessChain(hook, optional, name(part));
    }
    const value = factory.createParameterDeclaration(undefined, undefined, "value");
    const same = factory.createArrowFunction(undefined, undefined, [value], undefined, undefined, name("value"));
    const either = factory.createBinaryExpression(
      hook,
      ts.SyntaxKind.QuestionQuestionToken,
      factory.createParenthesizedExpression(same),
    );
    return factory.createCallExpression(factory.createParenthesizedExpression(either), undefined, [argument]);
  }

  return ts.visitEachChild(file, visit, context);
};
